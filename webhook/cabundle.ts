// Tells the API server whom to trust: puts the authorities into the caBundle of the webhook's own two configurations.

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

/** held: it was there already; written: it is there now; unconfirmed: a configuration is missing or keeps changing. */
export type Published = 'held' | 'written' | 'unconfirmed';

/** Another replica writes the same; a third party at the same moment is rare. */
const attempts = 3;

const kinds: readonly ConfigurationKind[] = ['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration'];

/** @param bundle PEM, one or more authorities */
export async function publish(configurations: Configurations, bundle: string): Promise<Published> {
  const results: Published[] = [];
  for (const kind of kinds) results.push(await publishOne(configurations, kind, bundle));
  if (results.includes('unconfirmed')) return 'unconfirmed';
  return results.includes('written') ? 'written' : 'held';
}

async function publishOne(configurations: Configurations, kind: ConfigurationKind, bundle: string): Promise<Published> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const found = await configurations.read(kind);
    if (found === undefined) return 'unconfirmed';
    const stale = found.webhooks.filter(({ caBundle }) => caBundle !== bundle).map(({ name }) => name);
    if (stale.length === 0) return 'held';
    if (await configurations.write(kind, found.resourceVersion, stale, bundle)) return 'written';
  }
  return 'unconfirmed';
}
