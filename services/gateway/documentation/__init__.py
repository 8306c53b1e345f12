"""The description of the HTTP API: the document, made from the routes, and the page that shows it."""
