// The Java KCL as a contender of the consumers' race, as its README sets it up: what interop/consumer-race/ours.ts is to our
// consumer. SETTINGS and the line that comes out are the same; it ends with its standard input.
import java.lang.management.ManagementFactory;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.nio.netty.Http2Configuration;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.metrics.MetricsLevel;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

public class KclRace {
  static final String STREAM = "race", APPLICATION = setting("application", "\"([^\"]+)\"");
  static final boolean FAN_OUT = setting("mode", "\"([^\"]+)\"").equals("fanout");
  static final long SHARDS = number("shards"), WARM_UP = number("warmUpRecords"), RECORDS = number("records");
  static final long LONGEST_NS = number("longestSeconds") * 1_000_000_000L, LATENCIES = number("latencyCount");
  /** As often as ours does by default. */
  static final long CHECKPOINT_NS = 5_000_000_000L;
  /** The floor of both. */
  static final long IDLE_MS = 200;
  /** What only waits at the start is short: it is no part of the race. */
  static final long ASSIGNMENT_INTERVAL_MS = 2_000;
  static final long SETTLING_NS = 2_000_000_000L;

  public static void main(String[] args) throws Exception {
    var credentials = StaticCredentialsProvider.create(AwsBasicCredentials.create("local", "local"));
    var netty = NettyNioAsyncHttpClient.builder().maxConcurrency(1000).protocol(FAN_OUT ? Protocol.HTTP2 : Protocol.HTTP1_1);
    if (FAN_OUT) {
      // As the KCL's own KinesisClientUtil has it.
      netty.http2Configuration(Http2Configuration.builder().initialWindowSize(512 * 1024).healthCheckPingPeriod(Duration.ofMinutes(1)).build());
    }
    var kinesis = KinesisAsyncClient.builder().endpointOverride(URI.create(System.getenv("AWS_ENDPOINT_URL_KINESIS")))
        .region(Region.US_EAST_1).credentialsProvider(credentials).httpClientBuilder(netty).build();
    var dynamodb = DynamoDbAsyncClient.builder().endpointOverride(URI.create(System.getenv("AWS_ENDPOINT_URL_DYNAMODB")))
        .region(Region.US_EAST_1).credentialsProvider(credentials).build();
    // Nothing listens there; metrics are off.
    var cloudwatch = CloudWatchAsyncClient.builder().endpointOverride(URI.create("http://127.0.0.1:9"))
        .region(Region.US_EAST_1).credentialsProvider(credentials).build();
    var configs = new ConfigsBuilder(STREAM, APPLICATION, kinesis, dynamodb, cloudwatch, "java", Processor::new);
    // Beside KclWorker.java, and so compiled for the KCL 2.x as well, which has neither.
    var leases = configs.leaseManagementConfig();
    KclWorker.set(leases, "leaseAssignmentIntervalMillis", ASSIGNMENT_INTERVAL_MS);
    KclWorker.set(KclWorker.utilizationOf(leases), "disableWorkerMetrics", true);
    var retrieval = configs.retrievalConfig()
        .initialPositionInStreamExtended(InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON))
        .retrievalSpecificConfig(FAN_OUT
            ? new FanOutConfig(kinesis).streamName(STREAM).applicationName(APPLICATION)
            : new PollingConfig(STREAM, kinesis).maxRecords(10_000).idleTimeBetweenReadsInMillis(IDLE_MS));
    var metrics = configs.metricsConfig().metricsLevel(MetricsLevel.NONE).metricsFactory(new NullMetricsFactory());
    var scheduler = new Scheduler(configs.checkpointConfig(), configs.coordinatorConfig(), leases, configs.lifecycleConfig(), metrics,
        configs.processorConfig(), retrieval);
    Thread thread = new Thread(scheduler, "scheduler");
    thread.setDaemon(true);
    thread.start();
    while (System.in.read() >= 0) {}
    Runtime.getRuntime().halt(0);
  }

  static String setting(String name, String value) {
    Matcher found = Pattern.compile("\"" + name + "\":" + value).matcher(System.getenv("SETTINGS"));
    if (!found.find()) throw new IllegalArgumentException("SETTINGS lacks " + name);
    return found.group(1);
  }

  static long number(String name) { return Long.parseLong(setting(name, "(\\d+)")); }

  static class Processor implements ShardRecordProcessor {
    long checkpointedAt = System.nanoTime();
    String shard;

    public void initialize(InitializationInput in) { shard = in.shardId(); }

    public void processRecords(ProcessRecordsInput in) {
      if (in.records().isEmpty()) return;
      if (LATENCIES > 0) Measurement.time(shard, in.records());
      else Measurement.count(in.records());
      if (System.nanoTime() - checkpointedAt < CHECKPOINT_NS) return;
      try {
        in.checkpointer().checkpoint();
        checkpointedAt = System.nanoTime();
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
    }

    public void leaseLost(LeaseLostInput in) {}

    public void shardEnded(ShardEndedInput in) {}

    public void shutdownRequested(ShutdownRequestedInput in) {}
  }

  /** What interop/consumer-race/measurement.ts does. */
  static class Measurement {
    static final Set<String> shards = new HashSet<>();
    static final List<Double> latencyMs = new ArrayList<>();
    static long records, bytes, firstAt, allHeardAt, fromAt, fromRecords, fromBytes;
    static double fromCpu;
    static boolean isOver;

    static void count(List<KinesisClientRecord> batch) {
      long size = 0;
      for (KinesisClientRecord record : batch) size += record.data().remaining();
      counted(batch.size(), size);
    }

    static synchronized void counted(long count, long size) {
      if (isOver) return;
      bytes += size;
      records += count;
      long now = System.nanoTime();
      if (firstAt == 0) firstAt = now;
      if (fromAt == 0) {
        if (records < WARM_UP && now - firstAt < LONGEST_NS) return;
        fromAt = now;
        fromRecords = records;
        fromBytes = bytes;
        fromCpu = cpuSeconds();
      } else if (records - fromRecords >= RECORDS || now - fromAt >= LONGEST_NS) say(now);
    }

    static synchronized void time(String shard, List<KinesisClientRecord> batch) {
      if (isOver) return;
      long now = System.nanoTime();
      shards.add(shard);
      if (shards.size() < SHARDS) return;
      if (allHeardAt == 0) allHeardAt = now;
      for (KinesisClientRecord record : batch) {
        long putAt = Long.parseLong(StandardCharsets.UTF_8.decode(record.data().duplicate()).toString());
        if (putAt > allHeardAt + SETTLING_NS) latencyMs.add((now - putAt) / 1e6);
      }
      if (latencyMs.size() >= LATENCIES) say(now);
    }

    static void say(long now) {
      isOver = true;
      System.out.println("{\"records\":" + (records - fromRecords) + ",\"bytes\":" + (bytes - fromBytes) + ",\"seconds\":" + (now - fromAt) / 1e9
          + ",\"cpuSeconds\":" + (cpuSeconds() - fromCpu) + ",\"residentBytes\":" + bytesOf("VmRSS") + ",\"peakResidentBytes\":" + bytesOf("VmHWM")
          + ",\"latencyMs\":" + latencyMs + "}");
      System.out.flush();
    }

    static double cpuSeconds() {
      var system = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
      return system.getProcessCpuTime() / 1e9;
    }

    static long bytesOf(String name) {
      try {
        String status = Files.readString(Path.of("/proc/self/status"));
        Matcher found = Pattern.compile(name + ":\\s+(\\d+) kB").matcher(status);
        if (!found.find()) throw new IllegalStateException("no " + name);
        return Long.parseLong(found.group(1)) * 1024;
      } catch (java.io.IOException e) {
        throw new IllegalStateException(e);
      }
    }
  }
}
