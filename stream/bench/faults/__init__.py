"""``s3pot bench faults``: what breaks is broken on purpose, and what comes out is looked at.

Every fault is a scene of some seconds on loopback with the privacy policy on: a camera that draws
numbered pictures of an unmistakable face, a server, ``worker.py`` (the product's own source, loop,
policy and sinks in a process of their own), and a witness that reads what comes out, as anybody
would: which pictures, when, in what order, and whether a pixel of a face is left in them.

Where the network is not the point a stand-in finds the face by its colour; scenes that are called
"real" run ``s3pot run`` as it is.
"""
