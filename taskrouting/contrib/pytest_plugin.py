"""What can the tests of a project that uses taskrouting ask for?"""
