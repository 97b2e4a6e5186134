"""Pages that need nothing beside them: HTML, and charts as SVG."""
