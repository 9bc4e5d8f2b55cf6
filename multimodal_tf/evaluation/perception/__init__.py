"""What a model really takes from each input, and when it breaks: the sections of a report on one split of a table."""
