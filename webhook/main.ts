#!/usr/bin/env node
// The admission webhook: puts its parts together, keeps the certificate, and goes in good order on SIGTERM.
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { type Logger, pino } from 'pino';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import type { Certificate } from './certificate.ts';
import { certificateStore, clientConfiguration, webhookConfigurations } from './kube.ts';
import { Rotation } from './rotation.ts';
import { admissionServer, application, drain, healthServer, listen } from './server.ts';

/** Until the webhook is ready every admission of a DatabaseBackup is refused, so it does not wait long between rounds. */
const impatientMilliseconds = 1_000;

const options = await yargs(hideBin(process.argv))
  .scriptName('dbbackup-webhook')
  .usage('Admission webhook of dbbackup: refuses a DatabaseBackup that could not work, with the field and the fix.')
  .option('port', { type: 'number', default: 9443, describe: 'HTTPS port of /mutate and /validate' })
  .option('health-port', { type: 'number', default: 8081, describe: 'HTTP port of /healthz and /readyz' })
  .option('namespace', {
    type: 'string',
    default: process.env.POD_NAMESPACE || 'dbbackup-system',
    describe: 'namespace of its Secret and Service (POD_NAMESPACE)',
  })
  .option('service', { type: 'string', default: 'dbbackup-webhook', describe: 'Service that leads to it' })
  .option('secret', { type: 'string', default: 'dbbackup-webhook-cert', describe: 'Secret that keeps its certificate' })
  .option('configuration', {
    type: 'string',
    default: 'dbbackup-webhook',
    describe: 'name of its Mutating- and its ValidatingWebhookConfiguration',
  })
  .option('host', {
    type: 'string',
    array: true,
    default: [],
    describe: 'further names or addresses of the certificate',
  })
  .option('interval-seconds', {
    type: 'number',
    default: 10,
    describe: 'how often certificate and trust are looked at',
  })
  .option('drain-seconds', { type: 'number', default: 8, describe: 'how long open requests may take after SIGTERM' })
  .option('log-level', { choices: ['debug', 'info', 'warn', 'error'], default: 'info' })
  .version(process.env.DBBACKUP_VERSION ?? 'development')
  .strict()
  .parse();

const log: Logger = pino({ level: options.logLevel, base: { program: 'webhook' } });
const stop = new AbortController();

const kubeConfig = new KubeConfig();
kubeConfig.loadFromDefault();
const client = clientConfiguration(kubeConfig);

const admission = admissionServer(application(log));
const rotation = new Rotation({
  store: certificateStore(client, options.namespace, options.secret),
  configurations: webhookConfigurations(client, options.configuration),
  names: [`${options.service}.${options.namespace}.svc`, ...options.host],
  load: ({ cert, key }: Certificate) => {
    admission.setSecureContext({ cert, key, minVersion: 'TLSv1.2' });
    log.info('certificate loaded');
  },
  now: () => new Date(),
});
const health = healthServer(() => rotation.ready && admission.listening && !stop.signal.aborted);

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    log.info({ signal }, 'stopping');
    stop.abort();
  });
}

async function keepCertificate(): Promise<void> {
  const wasReady = rotation.ready;
  try {
    await rotation.round();
  } catch (err) {
    log.warn({ err }, 'certificate round failed, trying again');
  }
  if (rotation.ready !== wasReady) log.info({ ready: rotation.ready }, 'readiness changed');
}

const healthPort = await listen(health, options.healthPort);
while (!stop.signal.aborted) {
  await keepCertificate();
  if (rotation.loaded && !admission.listening && !stop.signal.aborted)
    log.info({ port: await listen(admission, options.port), healthPort }, 'listening');
  const pause = rotation.ready ? options.intervalSeconds * 1000 : impatientMilliseconds;
  await sleep(pause, undefined, { signal: stop.signal }).catch(() => {});
}
await drain(admission, options.drainSeconds * 1000);
await drain(health, 0);
log.info('stopped');
// Connections to the API server that are still open would keep the process for a while.
process.exit(0);
