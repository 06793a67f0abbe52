"""WHERE: who wants what, and which queues and bindings that implies."""
