// The connections to the API server, kept between calls: client-node makes a pool for every call, and so a TLS handshake.
import type { RequestContext } from '@kubernetes/client-node';
import type { Dispatcher } from 'undici';

/** A new pool reads certificates that were renewed in files. A watch ends within ten minutes, so two or three old pools are the most. */
const renewMilliseconds = 300_000;

export class Connections {
  private kept: { source: Dispatcher; pool: Dispatcher; since: number } | undefined;

  /** The pool to call with; undefined where the defaults of fetch will do. */
  for(context: RequestContext): Dispatcher | undefined {
    const { kept } = this;
    if (kept !== undefined && performance.now() - kept.since < renewMilliseconds) return kept.pool;
    this.failed(kept?.pool);
    const source = context.getDispatcher() as unknown as Dispatcher | undefined;
    if (source === undefined) return undefined;
    this.kept = { source, pool: source.compose(alone), since: performance.now() };
    return this.kept.pool;
  }

  /** The next call begins with new connections: those of this pool may be dead, or made with a certificate of the past. What is under way goes on. */
  failed(pool: Dispatcher | undefined): void {
    const { kept } = this;
    if (kept === undefined || kept.pool !== pool) return;
    this.kept = undefined;
    void kept.source.close().catch(() => undefined);
  }
}

/** HTTP/1.1: in HTTP/2 all share one connection, and when it dies in silence the lease dies with the watches. */
function alone(dispatch: Dispatcher.Dispatch): Dispatcher.Dispatch {
  return (options, handler) => dispatch({ ...options, ...{ allowH2: false } }, handler);
}
