"""Charts: points in, specifications out; the same for browser, notebook, PNG and SVG."""
