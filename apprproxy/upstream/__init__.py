"""One remote place over HTTP: sessions, limits, authentication, redirects by hand."""
