// Labels that the controller puts on what it makes, and finds it by.
import { labels } from '../crds/rules/names.ts';

export const managedByLabels = { [labels.managedBy]: 'dbbackup' };

/** On Jobs: the cluster whose lock they need. */
export const clusterLabel = 'dbbackup.io/cluster';
