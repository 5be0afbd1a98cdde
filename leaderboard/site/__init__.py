"""The results as a static site: pages and files that any web server or object store can hand out."""
