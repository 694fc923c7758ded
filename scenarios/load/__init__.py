"""The load stage: Locust with a client of our own. Importing this package alone loads neither Locust nor gevent."""
