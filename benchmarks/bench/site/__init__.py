"""What do the measured programs do? One Django site, and a module for each peer.

What they share: the settings, the job, and how it is counted. Which job it is, where database
and broker are, and what else belongs to ``INSTALLED_APPS`` is in the environment.
"""
