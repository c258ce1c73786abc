"""The documentation as a site: what MkDocs is told."""
