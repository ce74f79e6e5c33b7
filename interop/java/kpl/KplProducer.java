// The native KPL, put to work by its standard input: each line is a number of user records to put. It says of each, in a line of JSON on
// stdout, where it came to lie and what each earlier attempt failed with. The end of stdin ends it, and its native child.
import com.google.common.util.concurrent.FutureCallback;
import com.google.common.util.concurrent.Futures;
import com.google.common.util.concurrent.MoreExecutors;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.stream.Collectors;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordFailedException;
import software.amazon.kinesis.producer.UserRecordResult;

public class KplProducer {
  static final int MAX_OUTSTANDING = 5_000;

  public static void main(String[] args) throws Exception {
    String stream = System.getenv("STREAM"), authority = System.getenv("CA_FILE");
    int port = Integer.parseInt(System.getenv("KINESIS_PORT")), keys = Integer.parseInt(System.getenv("KEYS"));
    KinesisProducerConfiguration config = new KinesisProducerConfiguration()
        .setRegion("us-east-1").setKinesisEndpoint("127.0.0.1").setKinesisPort(port)
        .setCloudwatchEndpoint("127.0.0.1").setCloudwatchPort(port).setMetricsLevel("none").setLogLevel("warning")
        .setCredentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("local", "local")))
        .setTempDirectory(System.getenv("TEMP_DIRECTORY")).setEnableOldestFutureTracker(false)
        .setAggregationEnabled(System.getenv("AGGREGATION").equals("on"));
    if (authority == null) config.setVerifyCertificate(false);
    else config.setCaCertFile(authority);
    KinesisProducer producer = new KinesisProducer(config);

    BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
    int next = 0;
    for (String order = orders.readLine(); order != null; order = orders.readLine()) {
      for (int end = next + Integer.parseInt(order); next < end; next++) {
        while (producer.getOutstandingRecordsCount() >= MAX_OUTSTANDING) Thread.sleep(1);
        put(producer, stream, keys > 0 ? "key-" + next % keys : null, String.valueOf(next));
      }
    }
    producer.destroy();
    Runtime.getRuntime().halt(0);
  }

  static void put(KinesisProducer producer, String stream, String key, String data) {
    var bytes = ByteBuffer.wrap(data.getBytes(StandardCharsets.UTF_8));
    var put = key == null ? producer.addUserRecord(stream, bytes) : producer.addUserRecord(stream, key, bytes);
    Futures.addCallback(put, new FutureCallback<UserRecordResult>() {
      public void onSuccess(UserRecordResult result) { say(key, data, result); }

      public void onFailure(Throwable error) {
        if (error instanceof UserRecordFailedException failed) say(key, data, failed.getResult());
        else throw new IllegalStateException(error);
      }
    }, MoreExecutors.directExecutor());
  }

  static synchronized void say(String key, String data, UserRecordResult result) {
    String errors = result.getAttempts().stream().filter(attempt -> !attempt.isSuccessful())
        .map(attempt -> "\"" + attempt.getErrorCode() + "\"").collect(Collectors.joining(","));
    String quotedKey = key == null ? "null" : "\"" + key + "\"";
    System.out.println("{\"key\":" + quotedKey + ",\"data\":\"" + data + "\",\"stored\":" + result.isSuccessful() + ",\"shard\":\"" + result.getShardId()
        + "\",\"sequence\":\"" + result.getSequenceNumber() + "\",\"errors\":[" + errors + "]}");
    System.out.flush();
  }
}
