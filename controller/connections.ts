// The way in to the API server, kept between calls: client-node reads certificates and makes a pool for every call, and so a TLS handshake.
import { HttpMethod, type KubeConfig, RequestContext } from '@kubernetes/client-node';
import type { Dispatcher } from 'undici';

/** A new pool reads certificates that were renewed in files. A watch ends within ten minutes, so two or three old pools are the most. */
const renewMilliseconds = 300_000;
/** Tokens are asked for anew after this: those in files are renewed when a fifth of their time is left, which is minutes at the least. */
const proofMilliseconds = 10_000;

/** What a call needs besides what it asks. */
export interface Access {
  headers: Record<string, string>;
  /** Undefined where the defaults of undici will do. */
  pool: Dispatcher | undefined;
}

export class Connections {
  private kept: { source: Dispatcher; pool: Dispatcher; since: number } | undefined;
  private proven: { access: Access; since: number } | undefined;

  async access(config: KubeConfig, server: string): Promise<Access> {
    const { proven } = this;
    if (proven !== undefined && performance.now() - proven.since < proofMilliseconds) return proven.access;
    const context = new RequestContext(server, HttpMethod.GET);
    await config.applySecurityAuthentication(context);
    const access = { headers: context.getHeaders(), pool: this.poolOf(context) };
    this.proven = { access, since: performance.now() };
    return access;
  }

  private poolOf(context: RequestContext): Dispatcher | undefined {
    const { kept } = this;
    if (kept !== undefined && performance.now() - kept.since < renewMilliseconds) return kept.pool;
    this.drop(kept?.pool);
    const source = context.getDispatcher() as unknown as Dispatcher | undefined;
    if (source === undefined) return undefined;
    this.kept = { source, pool: source.compose(alone), since: performance.now() };
    return this.kept.pool;
  }

  /** The next call begins with new connections: those of this pool may be dead, or made with a certificate of the past. What is under way goes on. */
  failed({ pool }: Access): void {
    this.proven = undefined;
    this.drop(pool);
  }

  private drop(pool: Dispatcher | undefined): void {
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
