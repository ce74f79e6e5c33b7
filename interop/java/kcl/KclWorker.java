// One worker of the real Java KCL on local endpoints, set up by its environment. It says what happens to it in lines of JSON on
// stdout, a line a user record included, so that whoever started it can count. SIGTERM is a graceful shutdown; the end of stdin
// is an end at once, so that no worker outlives the test that started it.
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
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
import software.amazon.kinesis.coordinator.CoordinatorConfig;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.leases.LeaseManagementConfig;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.metrics.MetricsLevel;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

public class KclWorker {
  // What only waits is short. What a process that gets no processor for a while would miss is not: its lease runs out after FAILOVER_MS,
  // its leadership after LEADER_LEASE_MS, and without a report in twice METRICS_REPORT_INTERVAL_MS it is given no leases.
  static final long FAILOVER_MS = number("FAILOVER_MS", 6_000);
  static final long ASSIGNMENT_INTERVAL_MS = number("ASSIGNMENT_INTERVAL_MS", 2_000);
  static final long LEADER_LEASE_MS = number("LEADER_LEASE_MS", 10_000);
  static final long METRICS_REPORT_INTERVAL_MS = number("METRICS_REPORT_INTERVAL_MS", 5_000);
  static final long CHECKPOINT_MS = 1_000;
  static final long GRACE_SECONDS = 20;

  public static void main(String[] args) throws Exception {
    String stream = System.getenv("STREAM"), application = System.getenv("APPLICATION"), worker = System.getenv("WORKER_ID");
    boolean fanOut = System.getenv("MODE").equals("FANOUT");
    var credentials = StaticCredentialsProvider.create(AwsBasicCredentials.create("local", "local"));
    var netty = NettyNioAsyncHttpClient.builder().maxConcurrency(1000).protocol(fanOut ? Protocol.HTTP2 : Protocol.HTTP1_1);
    if (fanOut) {
      // As the KCL's own KinesisClientUtil has it.
      netty.http2Configuration(Http2Configuration.builder().initialWindowSize(512 * 1024).healthCheckPingPeriod(Duration.ofMinutes(1)).build());
    }
    var authority = trusting(System.getenv("KINESIS_CERTIFICATE"));
    if (authority != null) netty.tlsTrustManagersProvider(() -> authority);
    var kinesis = KinesisAsyncClient.builder().endpointOverride(URI.create(System.getenv("KINESIS_ENDPOINT")))
        .region(Region.US_EAST_1).credentialsProvider(credentials).httpClientBuilder(netty).build();
    var dynamodb = DynamoDbAsyncClient.builder().endpointOverride(URI.create(System.getenv("DYNAMODB_ENDPOINT")))
        .region(Region.US_EAST_1).credentialsProvider(credentials).build();
    // Nothing listens there; metrics are off.
    var cloudwatch = CloudWatchAsyncClient.builder().endpointOverride(URI.create("http://127.0.0.1:9"))
        .region(Region.US_EAST_1).credentialsProvider(credentials).build();

    var configs = new ConfigsBuilder(stream, application, kinesis, dynamodb, cloudwatch, worker, Processor::new);
    var leases = configs.leaseManagementConfig().failoverTimeMillis(FAILOVER_MS).shardSyncIntervalMillis(5_000);
    var coordinator = configs.coordinatorConfig().parentShardPollIntervalMillis(500).shardConsumerDispatchPollIntervalMillis(100);
    configure3x(leases, coordinator);
    var retrieval = configs.retrievalConfig()
        .initialPositionInStreamExtended(InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON))
        .retrievalSpecificConfig(fanOut
            ? new FanOutConfig(kinesis).streamName(stream).applicationName(application)
            : new PollingConfig(stream, kinesis).maxRecords(10_000).idleTimeBetweenReadsInMillis(200));
    var metrics = configs.metricsConfig().metricsLevel(MetricsLevel.NONE).metricsFactory(new NullMetricsFactory());
    var scheduler = new Scheduler(configs.checkpointConfig(), coordinator, leases, configs.lifecycleConfig(), metrics,
        configs.processorConfig(), retrieval);
    Thread thread = new Thread(scheduler, "scheduler");
    thread.setDaemon(true);
    thread.start();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(scheduler)));
    say("start", "worker", worker);
    while (System.in.read() >= 0) {}
    Runtime.getRuntime().halt(0);
  }

  static long number(String name, long byDefault) {
    String text = System.getenv(name);
    return text == null ? byDefault : Long.parseLong(text);
  }

  /** What the KCL 2.x knows nothing of, so that this program runs on it, too. */
  static void configure3x(LeaseManagementConfig leases, CoordinatorConfig coordinator) throws ReflectiveOperationException {
    set(leases, "leaseAssignmentIntervalMillis", ASSIGNMENT_INTERVAL_MS);
    set(leases, "dynamoDbLockBasedLeaderLeaseDurationInMillis", LEADER_LEASE_MS);
    set(leases, "dynamoDbLockBasedLeaderHeartbeatPeriodInMillis", LEADER_LEASE_MS / 5);
    // So that two workers share the shards whatever the machine's load is. Only since 3.4.3; older ones go by throughput.
    set(leases, "leaseAssignmentStrategy", "LEASE_COUNT_BASED");
    // How a fleet comes from 2.x to 3.x: CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X, or CLIENT_VERSION_CONFIG_3X, which is the default.
    set(coordinator, "clientVersionConfig", System.getenv("CLIENT_VERSION_CONFIG"));
    Object utilization = utilizationOf(leases);
    if (utilization == null) return;
    set(utilization, "disableWorkerMetrics", true);
    set(utilization, "varianceBalancingFrequency", 1);
    set(utilization, "workerMetricsReporterFreqInMillis", METRICS_REPORT_INTERVAL_MS);
    set(utilization, "inMemoryWorkerMetricsCaptureFrequencyMillis", 500L);
  }

  /** Null where this version of the KCL has none. */
  static Object utilizationOf(LeaseManagementConfig leases) throws ReflectiveOperationException {
    for (var method : leases.getClass().getMethods()) {
      if (method.getName().equals("workerUtilizationAwareAssignmentConfig") && method.getParameterCount() == 0) return method.invoke(leases);
    }
    return null;
  }

  /** Sets an option that this version of the KCL may not have; text is the name of an enum's constant, null leaves the default. */
  static void set(Object config, String option, Object value) throws ReflectiveOperationException {
    for (var method : config.getClass().getMethods()) {
      if (value == null || !method.getName().equals(option) || method.getParameterCount() != 1) continue;
      Class<?> type = method.getParameterTypes()[0];
      method.invoke(config, type.isEnum() ? type.getField((String) value).get(null) : value);
    }
  }

  /** The one certificate that the local Kinesis is known by, as PEM; null where it speaks clear text. */
  static TrustManager[] trusting(String pem) throws Exception {
    if (pem == null) return null;
    var certificate = CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(pem.getBytes(StandardCharsets.UTF_8)));
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    store.setCertificateEntry("local", certificate);
    var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(store);
    return trust.getTrustManagers();
  }

  static void stop(Scheduler scheduler) {
    try {
      say("stopped", "graceful", scheduler.startGracefulShutdown().get(GRACE_SECONDS, TimeUnit.SECONDS));
    } catch (Exception e) {
      say("error", "what", "stop: " + e);
    }
  }

  static class Processor implements ShardRecordProcessor {
    String shard;
    long lastCheckpoint = System.currentTimeMillis();
    KinesisClientRecord last;

    public void initialize(InitializationInput in) {
      shard = in.shardId();
      say("init", "shard", shard, "from", in.extendedSequenceNumber().sequenceNumber(),
          "fromSub", in.extendedSequenceNumber().subSequenceNumber());
    }

    public void processRecords(ProcessRecordsInput in) {
      for (KinesisClientRecord r : in.records()) {
        say("record", "shard", shard, "sequence", r.sequenceNumber(), "sub", r.subSequenceNumber(), "aggregated", r.aggregated(),
            "key", r.partitionKey(), "data", StandardCharsets.UTF_8.decode(r.data().duplicate()));
        last = r;
      }
      if (System.currentTimeMillis() - lastCheckpoint >= CHECKPOINT_MS) checkpoint(in.checkpointer(), false);
    }

    public void leaseLost(LeaseLostInput in) { say("leaseLost", "shard", shard); }

    public void shardEnded(ShardEndedInput in) {
      say("shardEnded", "shard", shard);
      checkpoint(in.checkpointer(), true);
    }

    public void shutdownRequested(ShutdownRequestedInput in) {
      say("shutdownRequested", "shard", shard);
      checkpoint(in.checkpointer(), false);
    }

    /** What was delivered last, or the shard's end. */
    void checkpoint(RecordProcessorCheckpointer checkpointer, boolean atEnd) {
      try {
        checkpointer.checkpoint();
        lastCheckpoint = System.currentTimeMillis();
        if (atEnd) say("checkpoint", "shard", shard, "sequence", "SHARD_END", "sub", 0);
        else if (last != null) say("checkpoint", "shard", shard, "sequence", last.sequenceNumber(), "sub", last.subSequenceNumber());
      } catch (ShutdownException e) {
        // Another worker has the lease; leaseLost follows.
        say("refused", "shard", shard);
      } catch (Exception e) {
        say("error", "shard", shard, "what", "checkpoint: " + e);
      }
    }
  }

  /** One line: the time, the event, and what belongs to it. */
  static synchronized void say(String event, Object... pairs) {
    StringBuilder line = new StringBuilder("{\"at\":" + System.currentTimeMillis() + ",\"event\":\"" + event + "\"");
    for (int i = 0; i < pairs.length; i += 2) {
      Object value = pairs[i + 1];
      boolean bare = value instanceof Number || value instanceof Boolean;
      line.append(",\"").append(pairs[i]).append("\":").append(bare ? value.toString() : quoted(String.valueOf(value)));
    }
    System.out.println(line.append("}"));
    System.out.flush();
  }

  static String quoted(String text) {
    StringBuilder quoted = new StringBuilder("\"");
    text.chars().forEach(c -> {
      if (c < ' ' || c == '"' || c == '\\') quoted.append(String.format("\\u%04x", c));
      else quoted.append((char) c);
    });
    return quoted.append('"').toString();
  }
}
