"""AWS Batch, CloudWatch Logs and what they need, by moto: `python3 batch_server.py PORT`.

It has a queue `heavy`, and tells in a line of JSON what else it has made.
"""

import json
import sys

import moto.batch.models
import moto.server
from moto.batch.models import batch_backends
from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends

ACCOUNT, REGION = "123456789012", "us-east-1"

# It writes the times of log lines with fractions, which AWS does not have and its SDK refuses.
with_fractions = moto.batch.models.unix_time_millis
moto.batch.models.unix_time_millis = lambda *args, **named: int(with_fractions(*args, **named))

iam, ec2, batch = iam_backends[ACCOUNT]["aws"], ec2_backends[ACCOUNT][REGION], batch_backends[ACCOUNT][REGION]
role = iam.create_role(
    role_name="batch",
    assume_role_policy_document="{}",
    path="/",
    permissions_boundary=None,
    description="",
    tags=[],
    max_session_duration="3600",
)
profile = iam.create_instance_profile(name="machines", path="/", role_names=["batch"])
machines = batch.create_compute_environment("machines", "UNMANAGED", "ENABLED", None, role.arn)
batch.create_job_queue("heavy", 1, None, "ENABLED", [{"order": 1, "computeEnvironment": machines.arn}])
subnet = next(iter(ec2.describe_subnets()))
group = ec2.create_security_group("machines", "machines", vpc_id=subnet.vpc_id)
made = {"role": role.arn, "profile": profile.arn, "subnet": subnet.id, "group": group.id}
print(json.dumps(made), flush=True)
# Nobody reads on there, and it prints warnings while it runs jobs.
sys.stdout = sys.stderr

moto.server.main(["-H", "127.0.0.1", "-p", sys.argv[1]])
