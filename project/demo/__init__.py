"""How does the whole journey look, from a browser's upload to the audit log?"""
