"""`aethernet serve`: a page to drop pictures on, and a small HTTP interface, both over one queue.

The way of a picture:
1.  app.py          routes; security.py has refused other sites and names by then, and asked for the token
2.  uploads.py      the body into a file of the service's own folder, never larger than allowed
3.  admission.py    its header: is it a picture, and no larger than allowed?
4.  service.py      a job, which waits for its turn (turns.py; between.py) and ends with a result, or a reason (jobs.py)
5.  process.py      hands it to the one process that computes, stops it there, and starts another where that one dies
6.  worker.py       that process: networks (networks.py), an `Upscaler`, progress; messages.py is what the two say
7.  app.py          the result; archive.py several of them; page/ is what a browser shows

patience.py closes connections on which nothing happens.

The process that serves imports no torch.
"""
