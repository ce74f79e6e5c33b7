"""boto3 and the AWS CLI against a local Kinesis: what they put they read, through a split and a merge, and boto3 subscribes.

Started by run.mjs, which names the server in SHARDLINE_ENDPOINT and SHARDLINE_TLS_ENDPOINT. It verifies signatures. The last line of standard output is `N passed, N failed, N skipped`.
"""

import base64
import contextlib
import json
import os
import subprocess
import ssl
import sys
import tempfile
import threading
import unittest
import urllib.error
import urllib.request
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, SSLError

ENDPOINT = os.environ["SHARDLINE_ENDPOINT"]
TLS_ENDPOINT = os.environ["SHARDLINE_TLS_ENDPOINT"]
AUTHORITY = os.environ["SHARDLINE_AUTHORITY"]
FIRST = "shardId-000000000000"
HALF = 2**127


class Boto3Test(unittest.TestCase):
    """The SDK for Python: JSON over HTTP/1.1, event streams included."""

    def setUp(self):
        self.kinesis = boto3.client("kinesis", endpoint_url=ENDPOINT, config=Config(retries={"total_max_attempts": 1}))
        self.name = "python-" + uuid.uuid4().hex[:12]

    def tearDown(self):
        self.kinesis.delete_stream(StreamName=self.name, EnforceConsumerDeletion=True)
        self.kinesis.get_waiter("stream_not_exists").wait(
            StreamName=self.name, WaiterConfig={"Delay": 1, "MaxAttempts": 10}
        )
        self.kinesis.close()

    def create(self, shards):
        self.kinesis.create_stream(StreamName=self.name, ShardCount=shards)
        self.kinesis.get_waiter("stream_exists").wait(StreamName=self.name, WaiterConfig={"Delay": 1, "MaxAttempts": 10})
        return self.kinesis.describe_stream_summary(StreamName=self.name)["StreamDescriptionSummary"]["StreamARN"]

    def put(self, texts, **entry):
        """Puts every text, the throttled ones again, and returns the keys and data as bytes."""
        left = [{"PartitionKey": f"key-{text}", "Data": text.encode(), **entry} for text in texts]
        throttled = 0
        while left:
            batch, left = left[:500], left[500:]
            answer = self.kinesis.put_records(StreamName=self.name, Records=batch)
            again = [one for one, outcome in zip(batch, answer["Records"]) if "ErrorCode" in outcome]
            self.assertEqual(len(again), answer["FailedRecordCount"])
            throttled += len(again)
            left = again + left
        return throttled

    def read_shard(self, shard_id):
        """All texts of a shard and, at its end, its children."""
        iterator = self.kinesis.get_shard_iterator(
            StreamName=self.name, ShardId=shard_id, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        texts = []
        while True:
            answer = self.kinesis.get_records(ShardIterator=iterator, Limit=700)
            texts += [record["Data"].decode() for record in answer["Records"]]
            children = [child["ShardId"] for child in answer.get("ChildShards", [])]
            iterator = answer.get("NextShardIterator")
            self.assertEqual(iterator is None, len(children) > 0)
            if iterator is None or answer["MillisBehindLatest"] == 0:
                return texts, children

    def read_lineage(self):
        """Every text, parents before children, from the shards at the trim horizon."""
        filtered = self.kinesis.list_shards(StreamName=self.name, ShardFilter={"Type": "AT_TRIM_HORIZON"})
        waiting = [shard["ShardId"] for shard in filtered["Shards"]]
        seen, texts = set(waiting), []
        while waiting:
            found, children = self.read_shard(waiting.pop(0))
            texts += found
            waiting += [child for child in children if child not in seen]
            seen.update(children)
        return texts

    def test_puts_and_reads_every_record(self):
        arn = self.create(3)
        self.assertEqual(arn, f"arn:aws:kinesis:eu-west-1:000000000000:stream/{self.name}")
        binary = bytes(range(256))
        stored = self.kinesis.put_record(StreamARN=arn, PartitionKey="b\u00e9", Data=binary)
        self.assertRegex(stored["SequenceNumber"], r"^\d{56}$")
        iterator = self.kinesis.get_shard_iterator(
            StreamARN=arn,
            ShardId=stored["ShardId"],
            ShardIteratorType="AT_SEQUENCE_NUMBER",
            StartingSequenceNumber=stored["SequenceNumber"],
        )["ShardIterator"]
        (record,) = self.kinesis.get_records(ShardIterator=iterator)["Records"]
        self.assertEqual((record["PartitionKey"], record["Data"]), ("b\u00e9", binary))
        arrived = record["ApproximateArrivalTimestamp"]
        later = self.kinesis.get_shard_iterator(
            StreamName=self.name, ShardId=stored["ShardId"], ShardIteratorType="AT_TIMESTAMP", Timestamp=arrived
        )["ShardIterator"]
        self.assertEqual(len(self.kinesis.get_records(ShardIterator=later)["Records"]), 1)

    def test_counts_every_record_through_a_split_and_a_merge(self):
        self.create(2)
        expected = [str(number) for number in range(1500)]
        self.put(expected[:500])
        self.kinesis.split_shard(StreamName=self.name, ShardToSplit=FIRST, NewStartingHashKey=str(HALF // 2))
        self.put(expected[500:1000])
        self.kinesis.merge_shards(
            StreamName=self.name, ShardToMerge="shardId-000000000003", AdjacentShardToMerge="shardId-000000000001"
        )
        self.put(expected[1000:])
        # Not by boto3's paginator: it sends the name beside the token, which AWS refuses, and so does the local server.
        shards, page = [], {"StreamName": self.name}
        while page:
            answer = self.kinesis.list_shards(MaxResults=2, **page)
            shards += [shard["ShardId"][-1] for shard in answer["Shards"]]
            page = {"NextToken": answer["NextToken"]} if "NextToken" in answer else None
        self.assertEqual(shards, ["0", "1", "2", "3", "4"])
        self.assertEqual(sorted(self.read_lineage(), key=int), expected)

    def test_meets_the_limits_of_a_shard(self):
        self.create(1)
        throttled = self.put([str(number) for number in range(2500)], ExplicitHashKey="0")
        self.assertGreater(throttled, 0)
        texts, _ = self.read_shard(FIRST)
        self.assertEqual(len(texts), 2500)
        self.assertEqual(len(set(texts)), 2500)

    def test_gets_the_modelled_exceptions(self):
        arn = self.create(1)
        errors = self.kinesis.exceptions
        with self.assertRaises(errors.ResourceNotFoundException):
            self.kinesis.describe_stream(StreamName="none")
        with self.assertRaises(errors.ResourceInUseException):
            self.kinesis.create_stream(StreamName=self.name, ShardCount=1)
        with self.assertRaises(errors.InvalidArgumentException):
            self.kinesis.get_records(ShardIterator="garbage")
        with self.assertRaises(errors.ResourceNotFoundException):
            self.kinesis.describe_stream_consumer(StreamARN=arn, ConsumerName="none")

    def subscribe(self, consumer_arn, shard_id):
        answer = self.kinesis.subscribe_to_shard(
            ConsumerARN=consumer_arn, ShardId=shard_id, StartingPosition={"Type": "TRIM_HORIZON"}
        )
        # Left to the interpreter's end, it is closed there after its file, with a complaint.
        with contextlib.closing(answer["EventStream"]) as events:
            for event in events:
                yield event["SubscribeToShardEvent"]

    def test_subscribes_through_a_split(self):
        arn = self.create(1)
        consumer = self.kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="reader")["Consumer"]
        listed = self.kinesis.list_stream_consumers(StreamARN=arn)["Consumers"]
        self.assertEqual([one["ConsumerARN"] for one in listed], [consumer["ConsumerARN"]])
        expected = [str(number) for number in range(900)]
        self.put(expected[:300])
        texts, failures = [], []
        children_known = threading.Event()

        def read(shard_id, until):
            events = self.subscribe(consumer["ConsumerARN"], shard_id)
            try:
                for event in events:
                    texts.extend(record["Data"].decode() for record in event["Records"])
                    if event.get("ChildShards"):
                        self.assertNotIn("ContinuationSequenceNumber", event)
                        children_known.set()
                        return
                    if len(texts) >= until:
                        return
            except Exception as error:  # pylint: disable=broad-except
                failures.append(error)
                children_known.set()
            finally:
                events.close()

        parent = threading.Thread(target=read, args=(FIRST, 10**9))
        parent.start()
        self.put(expected[300:600])
        self.kinesis.split_shard(StreamName=self.name, ShardToSplit=FIRST, NewStartingHashKey=str(HALF))
        self.assertTrue(children_known.wait(30))
        parent.join(30)
        self.assertEqual(failures, [])
        self.assertEqual(texts, expected[:600])
        self.put(expected[600:], ExplicitHashKey=str(HALF))
        read("shardId-000000000002", 900)
        self.assertEqual(failures, [])
        self.assertEqual(texts, expected)
        self.kinesis.deregister_stream_consumer(ConsumerARN=consumer["ConsumerARN"])


class TlsTest(unittest.TestCase):
    """Python's OpenSSL, with the certificate verified."""

    def kinesis(self, **options):
        return boto3.client("kinesis", config=Config(retries={"total_max_attempts": 1}), **options)

    def test_boto3_trusts_the_authority(self):
        for endpoint in (TLS_ENDPOINT, TLS_ENDPOINT.replace("localhost", "127.0.0.1")):
            kinesis = self.kinesis(endpoint_url=endpoint, verify=AUTHORITY)
            name = "tls-" + uuid.uuid4().hex[:12]
            kinesis.create_stream(StreamName=name, ShardCount=1)
            big = bytes(1024 * 1024 - 1)
            self.assertEqual(kinesis.put_record(StreamName=name, PartitionKey="k", Data=big)["ShardId"], FIRST)
            iterator = kinesis.get_shard_iterator(
                StreamName=name, ShardId=FIRST, ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            (record,) = kinesis.get_records(ShardIterator=iterator)["Records"]
            self.assertEqual(record["Data"], big)
            kinesis.delete_stream(StreamName=name)
            kinesis.close()

    def test_boto3_refuses_what_it_does_not_trust(self):
        with self.assertRaises(SSLError):
            self.kinesis(endpoint_url=TLS_ENDPOINT).list_streams()

    def test_urllib_trusts_it_by_the_strict_rules(self):
        context = ssl.create_default_context(cafile=AUTHORITY)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        with self.assertRaises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(TLS_ENDPOINT, data=b"{}", context=context, timeout=10)
        self.assertEqual(raised.exception.code, 403)
        raised.exception.close()


class SignatureTest(unittest.TestCase):
    """The same server with other credentials than its own."""

    def refusal(self, **credentials):
        kinesis = boto3.client("kinesis", endpoint_url=ENDPOINT, **credentials)
        with self.assertRaises(ClientError) as raised:
            kinesis.list_streams()
        kinesis.close()
        answer = raised.exception.response
        return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]

    def test_another_secret(self):
        refusal = self.refusal(aws_access_key_id="local", aws_secret_access_key="other")
        self.assertEqual(refusal, ("InvalidSignatureException", 400))

    def test_an_unknown_key(self):
        refusal = self.refusal(aws_access_key_id="other", aws_secret_access_key="a/secret+local")
        self.assertEqual(refusal, ("UnrecognizedClientException", 400))

    def test_a_session_token_is_signed_with(self):
        kinesis = boto3.client("kinesis", endpoint_url=ENDPOINT, aws_session_token="a/token+of==")
        self.assertIn("StreamNames", kinesis.list_streams())
        kinesis.close()


class AwsCliTest(unittest.TestCase):
    """The AWS CLI as a program, from the folder that run.mjs installed it into."""

    def aws(self, *arguments, expect=0, endpoint=ENDPOINT):
        done = subprocess.run(
            [sys.executable, "-m", "awscli", "kinesis", *arguments, "--endpoint-url", endpoint, "--output", "json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(done.returncode, expect, done.stderr)
        return done.stderr if expect else json.loads(done.stdout or "{}")

    def test_puts_and_reads_every_record(self):
        name = "cli-" + uuid.uuid4().hex[:12]
        self.aws("create-stream", "--stream-name", name, "--shard-count", "2")
        self.aws("wait", "stream-exists", "--stream-name", name)
        summary = self.aws("describe-stream-summary", "--stream-name", name)["StreamDescriptionSummary"]
        self.assertEqual((summary["OpenShardCount"], summary["StreamStatus"]), (2, "ACTIVE"))
        # Version 1 of the CLI takes data as text and encodes it, and prints what it reads as base64.
        stored = self.aws("put-record", "--stream-name", name, "--partition-key", "k", "--data", "one")
        self.assertRegex(stored["SequenceNumber"], r"^\d{56}$")
        texts = [f"record {number}" for number in range(100)]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            entries = [{"PartitionKey": text, "Data": text} for text in texts]
            json.dump(entries, file)
            file.flush()
            answer = self.aws("put-records", "--stream-arn", summary["StreamARN"], "--records", f"file://{file.name}")
        self.assertEqual(answer["FailedRecordCount"], 0)
        found = []
        for shard in self.aws("list-shards", "--stream-name", name, "--shard-filter", "Type=AT_LATEST")["Shards"]:
            iterator = self.aws(
                "get-shard-iterator",
                *("--stream-name", name),
                *("--shard-id", shard["ShardId"]),
                *("--shard-iterator-type", "TRIM_HORIZON"),
            )["ShardIterator"]
            records = self.aws("get-records", "--shard-iterator", iterator)["Records"]
            found += [base64.b64decode(record["Data"]).decode() for record in records]
        self.assertEqual(sorted(found), sorted(["one", *texts]))
        self.aws("delete-stream", "--stream-name", name)
        refused = self.aws("describe-stream", "--stream-name", name, expect=255)
        self.assertIn("ResourceNotFoundException", refused)

    def test_trusts_the_authority(self):
        listed = self.aws("list-streams", "--ca-bundle", AUTHORITY, endpoint=TLS_ENDPOINT)
        self.assertIsInstance(listed["StreamNames"], list)


if __name__ == "__main__":
    outcome = unittest.main(exit=False, verbosity=2).result
    failed = len(outcome.failures) + len(outcome.errors)
    skipped = len(outcome.skipped)
    print(f"{outcome.testsRun - failed - skipped} passed, {failed} failed, {skipped} skipped", flush=True)
    sys.exit(0 if failed == 0 and skipped == 0 and outcome.testsRun > 0 else 1)
