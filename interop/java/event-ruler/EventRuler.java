// AWS's own rule engine as an oracle: each line of its standard input is a JSON object {"pattern", "event"}, both strings; each line of
// its standard output answers one, in order, as {"answer"}: "match", "no match", "bad pattern" or "bad event", the last two with what the
// engine said. The end of stdin ends it.
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import software.amazon.event.ruler.JsonRuleCompiler;
import software.amazon.event.ruler.Machine;

public class EventRuler {
  static final ObjectMapper JSON = new ObjectMapper();

  public static void main(String[] args) throws Exception {
    BufferedReader questions = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream answers = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    for (String line = questions.readLine(); line != null; line = questions.readLine()) {
      JsonNode question = JSON.readTree(line);
      answers.println(JSON.writeValueAsString(answer(question.get("pattern").asText(), question.get("event").asText())));
      if (!questions.ready()) answers.flush();
    }
    answers.flush();
  }

  static ObjectNode answer(String pattern, String event) {
    Machine machine = new Machine();
    try {
      // Not `addRule`, which takes a "$or" that is none for the name of a field.
      JsonRuleCompiler.compile(pattern).forEach(rule -> machine.addPatternRule("rule", rule));
    } catch (Exception error) {
      return said("bad pattern").put("message", String.valueOf(error.getMessage()));
    }
    try {
      return said(machine.rulesForJSONEvent(event).isEmpty() ? "no match" : "match");
    } catch (Exception error) {
      return said("bad event").put("message", String.valueOf(error.getMessage()));
    }
  }

  static ObjectNode said(String answer) {
    return JSON.createObjectNode().put("answer", answer);
  }
}
