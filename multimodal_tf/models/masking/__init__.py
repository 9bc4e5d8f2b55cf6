"""What is hidden of a cell, drawn anew for every row: tokens, patches of a picture, spans of time.

All of them take random numbers, and draw none, and return how the cell looks to the tower and what
is to be predicted of it.
"""
