// One round of keeping the certificate: agree on it, make the API server trust it, serve it. Repeated for as long as the webhook runs.
import { type Configurations, type Published, publish } from './cabundle.ts';
import { authorityOf, type Certificate, isExpired } from './certificate.ts';
import { agree, type CertificateStore } from './secret.ts';

export interface RotationParts {
  store: CertificateStore;
  configurations: Configurations;
  names: readonly string[];
  /** How long a certificate lives that is made here, in milliseconds. */
  validity?: number;
  /** Serves it from now on, for new connections. */
  load(certificate: Certificate): void;
  now(): Date;
}

export class Rotation {
  readonly #parts: RotationParts;
  #loaded: Certificate | undefined;
  /** What the last round agreed on. */
  #current: Certificate | undefined;
  #published: Published = { state: 'unconfirmed', bundles: [] };

  constructor(parts: RotationParts) {
    this.#parts = parts;
  }

  /** There is something to serve, whether or not anybody trusts it yet. */
  get loaded(): boolean {
    return this.#loaded !== undefined;
  }

  /** A certificate is served and both configurations trusted its authority when last seen. */
  get ready(): boolean {
    return this.#loaded !== undefined && this.#published.state !== 'unconfirmed';
  }

  /** Throws when the API server does not answer; what was known before then still holds. */
  async round(): Promise<void> {
    const { store, configurations, names, validity, load, now } = this.#parts;
    const [loaded, before] = [this.#loaded, this.#current];
    const held = before === undefined ? undefined : { certificate: before, served: before.cert === loaded?.cert };
    const current = await agree(store, names, held, now(), validity);
    this.#current = current;
    const served = loaded === undefined ? '' : authorityOf(loaded);
    const bundlesBefore = this.#published.bundles;
    this.#published = await publish(configurations, `${current.authorities}${served}`, now());
    const wasTrusted = bundlesBefore.length > 0 && bundlesBefore.every((text) => text.includes(authorityOf(current)));
    const waited = wasTrusted && this.#published.state === 'held';
    if (!mayLoad(loaded, current, waited, now())) return;
    load(current);
    this.#loaded = current;
  }
}

/**
 * A renewed certificate waits for one whole round of this replica, at both ends of which its authority is in the configurations: each API server
 * follows them at its own pace and trusts the old one meanwhile. The first is served at once, as is one after an expired one.
 */
export function mayLoad(loaded: Certificate | undefined, current: Certificate, waited: boolean, now: Date): boolean {
  if (loaded === undefined) return true;
  return loaded.cert !== current.cert && (waited || isExpired(loaded, now));
}
