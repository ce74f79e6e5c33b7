// The native KPL as a contender of the race, with its best settings: no tracker of the oldest record, and outstanding records bounded by
// the application, as its README tells one to. What interop/race/ours.ts is to our producer; SETTINGS and the line that comes out are the same.
import com.google.common.util.concurrent.FutureCallback;
import com.google.common.util.concurrent.Futures;
import com.google.common.util.concurrent.MoreExecutors;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordResult;

public class KplRace {
  static final int SAMPLED_EVERY = 64;
  static final long FAR_BEYOND_LIMITS_PERCENT = 100_000, TTL_MS = 300_000;
  static final long SHARD_MAP_MS = 1_500, LIMIT_SECONDS = 600;

  static final int RECORDS = setting("records"), SIZE = setting("size"), KEYS = setting("keys");
  static final AtomicLong failed = new AtomicLong();

  public static void main(String[] args) throws Exception {
    int port = setting("port");
    KinesisProducer producer = new KinesisProducer(new KinesisProducerConfiguration()
        .setRegion("us-east-1").setKinesisEndpoint("127.0.0.1").setKinesisPort(port).setVerifyCertificate(false)
        .setCloudwatchEndpoint("127.0.0.1").setCloudwatchPort(port).setMetricsLevel("none").setLogLevel("error")
        .setCredentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("local", "local")))
        .setTempDirectory(System.getenv("TEMP_DIRECTORY")).setEnableOldestFutureTracker(false)
        .setRecordMaxBufferedTime(setting("bufferedMs")).setRateLimit(FAR_BEYOND_LIMITS_PERCENT).setRecordTtl(TTL_MS));
    byte[] data = new byte[SIZE];
    Arrays.fill(data, (byte) 's');
    producer.addUserRecord("race", "warm", ByteBuffer.wrap(data)).get();
    Thread.sleep(SHARD_MAP_MS); // It is read after the first put.
    producer.addUserRecord("race", "warm", ByteBuffer.wrap(data)).get();
    putAll(producer, setting("warmUpRecords"), data);

    ProcessHandle self = ProcessHandle.current();
    ProcessHandle child = self.children().findFirst().orElseThrow();
    double selfBefore = cpuSeconds(self), childBefore = cpuSeconds(child);
    long startedAt = System.nanoTime();
    double[] latencyMs = putAll(producer, RECORDS, data);
    double seconds = (System.nanoTime() - startedAt) / 1e9;
    double childSeconds = cpuSeconds(child) - childBefore, selfSeconds = cpuSeconds(self) - selfBefore;

    double[] loneMs = new double[setting("loneRecords")];
    for (int count = 0; count < loneMs.length; count++) {
      long putAt = System.nanoTime();
      producer.addUserRecord("race", "lone-" + count, ByteBuffer.wrap(data)).get();
      loneMs[count] = (System.nanoTime() - putAt) / 1e6;
    }
    long residentBytes = peakBytes(self) + peakBytes(child);
    producer.destroy();
    System.out.println("{\"failed\":" + failed + ",\"seconds\":" + seconds + ",\"cpuSeconds\":" + (selfSeconds + childSeconds)
        + ",\"childCpuSeconds\":" + childSeconds + ",\"residentBytes\":" + residentBytes
        + ",\"latencyMs\":" + list(latencyMs) + ",\"loneLatencyMs\":" + list(loneMs) + "}");
    System.out.flush();
    Runtime.getRuntime().halt(0);
  }

  /** @return from the put to the outcome, of each sampled record. */
  static double[] putAll(KinesisProducer producer, int records, byte[] data) throws Exception {
    int outstanding = setting("outstanding");
    CountDownLatch unsettled = new CountDownLatch(records);
    double[] latencyMs = new double[(records + SAMPLED_EVERY - 1) / SAMPLED_EVERY];
    FutureCallback<UserRecordResult> unwatched = new Settled(unsettled, latencyMs, -1, 0);
    for (int count = 0; count < records; count++) {
      while (producer.getOutstandingRecordsCount() >= outstanding) Thread.sleep(1);
      String key = "key-" + (KEYS > 0 ? count % KEYS : count);
      boolean isSampled = count % SAMPLED_EVERY == 0;
      FutureCallback<UserRecordResult> callback = isSampled
          ? new Settled(unsettled, latencyMs, count / SAMPLED_EVERY, System.nanoTime()) : unwatched;
      Futures.addCallback(producer.addUserRecord("race", key, ByteBuffer.wrap(data)), callback, MoreExecutors.directExecutor());
    }
    if (!unsettled.await(LIMIT_SECONDS, TimeUnit.SECONDS)) throw new IllegalStateException(unsettled.getCount() + " records never settled");
    return latencyMs;
  }

  static int setting(String name) {
    Matcher found = Pattern.compile("\"" + name + "\":(\\d+)").matcher(System.getenv("SETTINGS"));
    if (!found.find()) throw new IllegalArgumentException("SETTINGS lacks " + name);
    return Integer.parseInt(found.group(1));
  }

  /** User and system time, whose unit in /proc is 10 ms. */
  static double cpuSeconds(ProcessHandle process) throws Exception {
    String stat = Files.readString(Path.of("/proc/" + process.pid() + "/stat"));
    String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
    return (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) / 100.0;
  }

  static long peakBytes(ProcessHandle process) throws Exception {
    String status = Files.readString(Path.of("/proc/" + process.pid() + "/status"));
    Matcher found = Pattern.compile("VmHWM:\\s+(\\d+) kB").matcher(status);
    if (!found.find()) throw new IllegalStateException("no VmHWM");
    return Long.parseLong(found.group(1)) * 1024;
  }

  static String list(double[] numbers) {
    return Arrays.stream(numbers).mapToObj(String::valueOf).collect(Collectors.joining(",", "[", "]"));
  }

  /** `sample` is its place among the sampled, -1 for one that is not. */
  record Settled(CountDownLatch unsettled, double[] latencyMs, int sample, long putAt) implements FutureCallback<UserRecordResult> {
    public void onSuccess(UserRecordResult result) { settle(); }

    public void onFailure(Throwable error) {
      failed.incrementAndGet();
      settle();
    }

    void settle() {
      if (sample >= 0) latencyMs[sample] = (System.nanoTime() - putAt) / 1e6;
      unsettled.countDown();
    }
  }
}
