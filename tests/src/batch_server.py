"""AWS Batch, CloudWatch Logs and what they need, by moto: `python3 batch_server.py PORT`."""

import sys

import moto.batch.models
import moto.server

# It writes the times of log lines with fractions, which AWS does not have and its SDK refuses.
with_fractions = moto.batch.models.unix_time_millis
moto.batch.models.unix_time_millis = lambda *args, **named: int(with_fractions(*args, **named))

moto.server.main(["-H", "127.0.0.1", "-p", sys.argv[1]])
