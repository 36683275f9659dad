"""The browser page: pictures in and out over WebRTC or HTTP, what was found, and what may be set.

``tally`` and ``board`` hold what is seen now; ``session`` runs a pipeline for it in a thread;
``desk`` keeps the sessions within bounds; ``rtc`` carries pictures to and from a browser; ``gate``
lets in who may; ``app`` has the routes; ``server`` binds it to a port.
"""
