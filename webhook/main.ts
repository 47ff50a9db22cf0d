#!/usr/bin/env node
// The admission webhook: puts its parts together, keeps the certificate, and goes in good order on SIGTERM.
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { type Logger, pino } from 'pino';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { parseValidity } from './certificate.ts';
import { CertificateFiles, type CertificatePair } from './files.ts';
import { certificateStore, clientConfiguration, webhookConfigurations } from './kube.ts';
import { drain, listen } from './listen.ts';
import { Rotation } from './rotation.ts';
import { admissionServer, application, healthServer } from './server.ts';

/** Until the webhook is ready every admission of a DatabaseBackup is refused, so it does not wait long between rounds. */
const impatientMilliseconds = 1_000;
/** An API server that uses a connection uses it within this time; see drain. */
const lingerMilliseconds = 2_000;

const options = await yargs(hideBin(process.argv))
  .scriptName('dbbackup-webhook')
  .usage('Admission webhook of dbbackup: refuses a DatabaseBackup that could not work, with the field and the fix.')
  .option('port', { type: 'number', default: 9443, describe: 'HTTPS port of /mutate, /mutate-trigger and /validate' })
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
  .option('certificate-validity', {
    type: 'string',
    default: '90d',
    describe:
      'how long a certificate lives that it makes (d, h, m, s); renewed when a third is left; short ones are for tests',
  })
  .option('certificate-directory', {
    type: 'string',
    describe: 'serve tls.crt and tls.key of this directory instead, and ask the API server for nothing',
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

const validity = readValidity();
const log: Logger = pino({ level: options.logLevel, base: { program: 'webhook' } });
const stop = new AbortController();

const { server: admission, connections } = admissionServer(application(log));

function load({ cert, key }: CertificatePair): void {
  admission.setSecureContext({ cert, key, minVersion: 'TLSv1.2' });
  log.info('certificate loaded');
}

function ownCertificate(): Rotation {
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromDefault();
  const client = clientConfiguration(kubeConfig);
  return new Rotation({
    store: certificateStore(client, options.namespace, options.secret),
    configurations: webhookConfigurations(client, options.configuration),
    names: [`${options.service}.${options.namespace}.svc`, ...options.host],
    validity,
    load,
    now: () => new Date(),
  });
}

const { certificateDirectory } = options;
const certificate =
  certificateDirectory === undefined ? ownCertificate() : new CertificateFiles(certificateDirectory, load);
const health = healthServer(() => certificate.ready && admission.listening && !stop.signal.aborted);

function readValidity(): number {
  try {
    return parseValidity(options.certificateValidity, options.intervalSeconds * 1000);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  }
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    log.info({ signal }, 'stopping');
    stop.abort();
  });
}

async function keepCertificate(): Promise<void> {
  const wasReady = certificate.ready;
  try {
    await certificate.round();
  } catch (err) {
    log.warn({ err }, 'certificate round failed, trying again');
  }
  if (certificate.ready !== wasReady) log.info({ ready: certificate.ready }, 'readiness changed');
}

const healthPort = await listen(health, options.healthPort);
while (!stop.signal.aborted) {
  await keepCertificate();
  if (certificate.loaded && !admission.listening && !stop.signal.aborted)
    log.info({ port: await listen(admission, options.port), healthPort }, 'listening');
  const pause = certificate.ready ? options.intervalSeconds * 1000 : impatientMilliseconds;
  await sleep(pause, undefined, { signal: stop.signal }).catch(() => {});
}
await drain(admission, connections, { linger: lingerMilliseconds, limit: options.drainSeconds * 1000 });
log.info('stopped');
// Health, and connections to the API server, would keep the process.
process.exit(0);
