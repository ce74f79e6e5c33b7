// One worker of the real Java KCL with its own defaults wherever it has them, and a processor that checkpoints after every batch: what
// such a fleet asks of DynamoDB. Polling, and no metrics to CloudWatch. Says `delivered` with the shard at each shard's first batch.
import java.net.URI;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
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
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

public class DefaultKclWorker {
  static final Set<String> delivered = ConcurrentHashMap.newKeySet();

  public static void main(String[] args) throws Exception {
    String stream = System.getenv("STREAM"), application = System.getenv("APPLICATION"), worker = System.getenv("WORKER_ID");
    var credentials = StaticCredentialsProvider.create(AwsBasicCredentials.create("local", "local"));
    var kinesis = KinesisAsyncClient.builder().endpointOverride(URI.create(System.getenv("KINESIS_ENDPOINT")))
        .region(Region.US_EAST_1).credentialsProvider(credentials).build();
    var dynamodb = DynamoDbAsyncClient.builder().endpointOverride(URI.create(System.getenv("DYNAMODB_ENDPOINT")))
        .region(Region.US_EAST_1).credentialsProvider(credentials).build();
    var cloudwatch = CloudWatchAsyncClient.builder().endpointOverride(URI.create("http://127.0.0.1:9"))
        .region(Region.US_EAST_1).credentialsProvider(credentials).build();
    var configs = new ConfigsBuilder(stream, application, kinesis, dynamodb, cloudwatch, worker, Processor::new);
    var retrieval = configs.retrievalConfig()
        .initialPositionInStreamExtended(InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON))
        .retrievalSpecificConfig(new PollingConfig(stream, kinesis));
    var scheduler = new Scheduler(configs.checkpointConfig(), configs.coordinatorConfig(), configs.leaseManagementConfig(),
        configs.lifecycleConfig(), configs.metricsConfig().metricsFactory(new NullMetricsFactory()), configs.processorConfig(), retrieval);
    Thread thread = new Thread(scheduler, "scheduler");
    thread.setDaemon(true);
    thread.start();
    while (System.in.read() >= 0) {}
    Runtime.getRuntime().halt(0);
  }

  static class Processor implements ShardRecordProcessor {
    String shard;

    public void initialize(InitializationInput in) { shard = in.shardId(); }

    public void processRecords(ProcessRecordsInput in) {
      if (delivered.add(shard)) System.out.println("{\"event\":\"delivered\",\"shard\":\"" + shard + "\"}");
      checkpoint(in.checkpointer());
    }

    public void leaseLost(LeaseLostInput in) {}

    public void shardEnded(ShardEndedInput in) { checkpoint(in.checkpointer()); }

    public void shutdownRequested(ShutdownRequestedInput in) { checkpoint(in.checkpointer()); }

    void checkpoint(RecordProcessorCheckpointer checkpointer) {
      try {
        checkpointer.checkpoint();
      } catch (Exception e) {
        System.err.println("checkpoint of " + shard + ": " + e);
      }
    }
  }
}
