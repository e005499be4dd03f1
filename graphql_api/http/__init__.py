"""The transports: HTTP, server-sent events, WebSocket, and the page to try queries in."""
