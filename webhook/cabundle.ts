// Tells the API server whom to trust: puts the authorities into the caBundle of the webhook's own two configurations.
import { trusted } from './certificate.ts';

export type ConfigurationKind = 'MutatingWebhookConfiguration' | 'ValidatingWebhookConfiguration';

export interface Configuration {
  resourceVersion: string;
  webhooks: { name: string; caBundle: string }[];
}

export interface Configurations {
  read(kind: ConfigurationKind): Promise<Configuration | undefined>;
  /** Sets the bundle of the named webhooks; false when the configuration is no longer at this resourceVersion. */
  write(kind: ConfigurationKind, resourceVersion: string, names: string[], bundle: string): Promise<boolean>;
}

export interface Published {
  /** held: all was there already; written: it is there now; unconfirmed: a configuration is missing or keeps changing. */
  state: 'held' | 'written' | 'unconfirmed';
  /** What each configuration trusts now; empty when unconfirmed. */
  bundles: readonly string[];
}

const unconfirmed: Published = { state: 'unconfirmed', bundles: [] };

/** Another replica writes the same; a third party at the same moment is rare. */
const attempts = 3;

const kinds: readonly ConfigurationKind[] = ['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration'];

/**
 * Adds authorities to what is trusted. One that is there stays until it expires: however old the news is that a replica acts on, it
 * takes nothing away from under another one.
 * @param authorities PEM, one or more
 */
export async function publish(configurations: Configurations, authorities: string, now: Date): Promise<Published> {
  const results: Published[] = [];
  for (const kind of kinds) results.push(await publishOne(configurations, kind, authorities, now));
  const states = results.map(({ state }) => state);
  if (states.includes('unconfirmed')) return unconfirmed;
  const bundles = results.flatMap((result) => result.bundles);
  return { state: states.includes('written') ? 'written' : 'held', bundles };
}

async function publishOne(
  configurations: Configurations,
  kind: ConfigurationKind,
  authorities: string,
  now: Date,
): Promise<Published> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const found = await configurations.read(kind);
    if (found === undefined) return unconfirmed;
    const bundle = trusted([authorities, ...found.webhooks.map(({ caBundle }) => caBundle)].join('\n'), now);
    const stale = found.webhooks.filter(({ caBundle }) => caBundle !== bundle).map(({ name }) => name);
    if (stale.length === 0) return { state: 'held', bundles: [bundle] };
    if (await configurations.write(kind, found.resourceVersion, stale, bundle))
      return { state: 'written', bundles: [bundle] };
  }
  return unconfirmed;
}
