"""The workbook: a run, the notebook engines, the command line."""
