// AWS's DynamoDB Local, in memory, for as long as the standard input is open. Its own main listens on every address of the
// machine and reports its use; this one puts the same handler behind a port of the loopback, and says which in a line of JSON.
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import software.amazon.dynamodb.services.local.server.LocalDynamoDBRequestHandler;
import software.amazon.dynamodb.services.local.server.LocalDynamoDBServerHandler;

public class DynamoDBLocalServer {
  public static void main(String[] args) throws Exception {
    Logger.getLogger("com.almworks.sqlite4java").setLevel(Level.WARNING);
    boolean inMemory = true, sharedDb = true, delayTransientStatuses = false;
    var requests = new LocalDynamoDBRequestHandler(0, inMemory, null, sharedDb, delayTransientStatuses);
    Server server = new Server(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 0));
    server.setHandler(new LocalDynamoDBServerHandler(requests, null));
    server.start();
    System.out.println("{\"port\":" + ((ServerConnector) server.getConnectors()[0]).getLocalPort() + "}");
    while (System.in.read() >= 0) {}
    System.exit(0);
  }
}
