"""Parts that need something beside Django and Kombu."""
