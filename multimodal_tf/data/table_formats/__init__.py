"""The formats of tables: how the columns and cells of each are read, with bounds on its size."""
