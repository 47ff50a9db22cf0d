// The controller's command line.
import yargs from 'yargs';

export interface Options {
  executorImage: string;
  namespace: string;
  identity: string;
  leaderElect: boolean;
  startTimeoutSeconds: number;
  maxRunning: number;
  maxRunningPerNamespace: number;
  workers: number;
  maxClockSkewSeconds: number;
  kubeApiQps: number;
  kubeApiBurst: number;
  healthPort: number;
  metricsPort: number;
  logLevel: string;
}

export interface OptionDefaults {
  executorImage: string | undefined;
  namespace: string | undefined;
  identity: string;
}

/** Whole numbers of at least 1. */
const counts = [
  'start-timeout-seconds',
  'max-running',
  'max-running-per-namespace',
  'workers',
  'kube-api-qps',
  'kube-api-burst',
] as const;

/** Reads the arguments; with a mistake it prints what is wrong and the process ends with 2. */
export function readOptions(args: string[], defaults: OptionDefaults, version: string): Options {
  const number = (value: number, describe: string) => ({ type: 'number', default: value, describe }) as const;
  return yargs(args)
    .scriptName('controller')
    .usage('$0 [options]\n\nRuns DatabaseBackups: at most one backup a window, one operation a database.')
    .option('executor-image', {
      type: 'string',
      demandOption: defaults.executorImage === undefined,
      default: defaults.executorImage ?? '',
      describe: 'image of the executor (or EXECUTOR_IMAGE)',
    })
    .option('namespace', {
      type: 'string',
      default: defaults.namespace ?? 'dbbackup-system',
      describe: 'namespace of the leader lease (or POD_NAMESPACE)',
    })
    .option('identity', {
      type: 'string',
      default: defaults.identity,
      describe: 'name in the leader lease (or POD_NAME)',
    })
    .option('leader-elect', { type: 'boolean', default: true, describe: 'work only while holding the leader lease' })
    .option('start-timeout-seconds', number(600, 'how long a pod may take to come to work'))
    .option('max-running', number(20, 'backups that run at a time, overall'))
    .option('max-running-per-namespace', number(5, 'backups that run at a time, in one namespace'))
    .option('workers', number(16, 'backups that are looked at at a time'))
    .option(
      'max-clock-skew-seconds',
      number(300, "how far the clock may be from the API server's before that is followed instead, 0 for never"),
    )
    .option('kube-api-qps', number(50, 'reads a second asked of the API server, and as many writes'))
    .option('kube-api-burst', number(100, 'reads, and writes, that may come at once after a quiet time'))
    .option('health-port', number(8081, 'port of /healthz and /readyz, 0 for none'))
    .option('metrics-port', number(8080, 'port of /metrics, 0 for none'))
    .option('log-level', {
      type: 'string',
      default: 'info',
      choices: ['debug', 'info', 'warn', 'error'],
      describe: 'least severe line to log',
    })
    .strict()
    .version(version)
    .check((read) => {
      for (const key of counts)
        if (!Number.isInteger(read[key]) || read[key] < 1)
          throw new Error(`--${key} ${read[key]}: must be a whole number of at least 1`);
      const skew = read['max-clock-skew-seconds'];
      if (!Number.isInteger(skew) || skew < 0)
        throw new Error(`--max-clock-skew-seconds ${skew}: must be a whole number, 0 for never`);
      return true;
    })
    .fail((message, error, parser) => {
      console.error(`${message ?? error.message}\n\n${parser.help()}`);
      process.exit(2);
    })
    .parseSync();
}
