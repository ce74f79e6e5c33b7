// The requests that a server has begun and not answered, counted before its own handler, for a server whose store must not be closed
// under them: dynalite throws what its store says then where nobody can catch it, and the process ends.
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';

export class RequestsInHand {
  readonly #unanswered = new Set<ServerResponse>();
  #isClosing = false;
  #allAnswered: (() => void) | undefined;

  /** @param server with its request handler, which is called by this one from here on */
  constructor(server: Server) {
    const handlers = server.listeners('request') as RequestListener[];
    server.removeAllListeners('request');
    server.on('request', (request, response) => {
      if (this.#isClosing) return request.socket.destroy();
      this.#begin(request, response);
      for (const handler of handlers) handler.call(server, request, response);
    });
  }

  /**
   * Hangs up on requests that come from here on, and resolves once those before have been answered, whether or not their clients still
   * listen, or after that time.
   */
  async end(mostMs: number): Promise<void> {
    this.#isClosing = true;
    if (this.#unanswered.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, mostMs);
      this.#allAnswered = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #begin(request: IncomingMessage, response: ServerResponse): void {
    this.#unanswered.add(response);
    // Of a request that is cut off within its body the handler never learns.
    request.once('close', () => {
      if (!request.complete) this.#answered(response);
    });
    // `finish` does not come where the client has gone, and `close` comes at once.
    const end = response.end;
    response.end = ((...args: Parameters<typeof end>) => {
      this.#answered(response);
      return end.apply(response, args);
    }) as typeof end;
  }

  #answered(response: ServerResponse): void {
    if (this.#unanswered.delete(response) && this.#unanswered.size === 0) this.#allAnswered?.();
  }
}
