"""Reports: a small document model, and its renderings as HTML, Markdown, CSV and JSON."""
