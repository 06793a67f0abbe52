"""FOR MACHINES: what probes and Prometheus ask, as views and on a port of the worker."""
