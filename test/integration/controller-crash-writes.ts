// What a write of the controller says, in words that are the same in every run: a look at a cache that is behind makes some twice, so a
// number would not tell which one is meant.
import type { Backup, Job, Lease } from '../../controller/objects.ts';
import { annotations } from '../../crds/rules/names.ts';
import type { Write } from '../rig/faults/api-proxy.ts';

export class Words {
  private readonly numbers = new Map<string, number>();

  of({ method, path, body }: Write): string {
    const parts = path.split('/');
    if (path.endsWith('/status')) return `status: ${this.status(JSON.parse(body) as Backup)}`;
    if (parts.includes('leases')) return this.lease(JSON.parse(body) as Lease);
    if (!parts.includes('jobs')) return `${method} ${path}`;
    if (method === 'POST') return this.creation(JSON.parse(body) as Job);
    const job = this.numbered('Job', parts.at(-1) ?? '');
    if (method === 'DELETE') return `delete ${job}`;
    const patch = JSON.parse(body) as Job;
    return `${patch.spec.suspend === false ? 'start' : 'give up'} ${job}`;
  }

  private creation({ metadata }: Job): string {
    const spec = this.numbered('spec', metadata.annotations?.[annotations.specHash] ?? '');
    return `create ${this.numbered('Job', metadata.name)} of ${spec}`;
  }

  private lease({ metadata, spec }: Lease): string {
    const job = metadata.annotations?.[annotations.job];
    if (spec?.holderIdentity === '') return `release the lock for time ${Number(spec.leaseTransitions) + 1}`;
    return `lock for ${this.numbered('Job', job ?? '')}`;
  }

  private status({ status = {} }: Backup): string {
    const { run, gate, conditions = [] } = status;
    const claimed = run === undefined ? 'no run' : this.numbered('Job', run.jobName);
    const seen = gate === undefined ? [] : [`gate ${gate.token}`];
    const how = conditions.map(({ type, reason }) => `${type} ${reason}`);
    return [claimed, status.phase, run?.outcome, ...seen, ...how].filter((word) => word !== undefined).join(', ');
  }

  private numbered(kind: string, name: string): string {
    const key = `${kind} ${name}`;
    const known = this.numbers.get(key);
    if (known !== undefined) return `${kind} ${known}`;
    const number = [...this.numbers.keys()].filter((each) => each.startsWith(`${kind} `)).length + 1;
    this.numbers.set(key, number);
    return `${kind} ${number}`;
  }
}
