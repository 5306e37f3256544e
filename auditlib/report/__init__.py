"""The report: one self-contained HTML page, French Markdown, JSON, and the graph."""
