import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import { Construct } from 'constructs';

import type { Parameters } from './parameters';

/** An attribute that is a key, and what it holds. */
export interface Key {
  readonly name: string;
  readonly kind: 'S' | 'N';
}

/** A global secondary index; with `projected` what it holds besides the keys. */
export interface Index {
  readonly name: string;
  readonly hash: Key;
  readonly range: Key;
  readonly projected: readonly string[];
}

/** A table; its partition key is the text `pk`. */
export interface Table {
  readonly name: TableName;
  /** Strongly consistent over both regions: no transactions, no time to live, no local indexes. */
  readonly strong: boolean;
  /** DynamoDB removes items whose attribute `ttl` has passed; not in strongly consistent tables. */
  readonly expiring: boolean;
  readonly range?: Key;
  readonly indexes: readonly Index[];
}

export type TableName = 'jobs' | 'keys' | 'runs' | 'config';

const text = (name: string): Key => ({ name, kind: 'S' });
const number = (name: string): Key => ({ name, kind: 'N' });

/** As `control/store/src/dynamo/tables.rs` has them; a test holds the two together. */
export const TABLES: readonly Table[] = [
  {
    name: 'jobs',
    strong: true,
    expiring: false,
    indexes: [
      { name: 'due', hash: number('due_shard'), range: text('due_at'), projected: [] },
      { name: 'line', hash: text('line'), range: text('line_at'), projected: ['size'] },
      { name: 'live', hash: text('live_of'), range: text('pk'), projected: [] },
      { name: 'turn', hash: text('turn_of'), range: number('turn'), projected: [] },
    ],
  },
  {
    name: 'keys',
    strong: true,
    expiring: false,
    indexes: [{ name: 'expiry', hash: number('expiry_shard'), range: number('expires'), projected: [] }],
  },
  {
    name: 'runs',
    strong: false,
    expiring: false,
    range: text('sk'),
    indexes: [
      { name: 'tenant', hash: text('tenant'), range: text('tenant_at'), projected: ['row'] },
      { name: 'state', hash: text('tenant_state'), range: text('tenant_at'), projected: ['row'] },
      { name: 'route', hash: text('tenant_route'), range: text('tenant_at'), projected: ['row'] },
    ],
  },
  { name: 'config', strong: false, expiring: true, range: text('sk'), indexes: [] },
];

/** The tables, made in the primary region and replicated to the peer; both know them by the same names. */
export class Tables extends Construct {
  constructor(
    scope: Construct,
    id: string,
    private readonly parameters: Parameters,
  ) {
    super(scope, id);
    for (const table of TABLES) {
      this.make(table);
    }
  }

  nameOf(table: TableName): string {
    return `${this.parameters.prefix}-${table}`;
  }

  arnOf(table: TableName, ...indexes: string[]): string[] {
    const stack = Stack.of(this);
    const arn = (rest: string): string => stack.formatArn({ service: 'dynamodb', resource: 'table', resourceName: `${this.nameOf(table)}${rest}` });
    return indexes.length === 0 ? [arn('')] : indexes.map((index) => arn(`/index/${index}`));
  }

  private make(table: Table): void {
    const schema = (hash: Key, range?: Key): dynamodb.CfnGlobalTable.KeySchemaProperty[] => [
      { attributeName: hash.name, keyType: 'HASH' },
      ...(range ? [{ attributeName: range.name, keyType: 'RANGE' }] : []),
    ];
    const pk = text('pk');
    const all = [pk, ...(table.range ? [table.range] : []), ...table.indexes.flatMap((index) => [index.hash, index.range])];
    const keys = new Map(all.map((key) => [key.name, key.kind]));
    const replica = (region: string): dynamodb.CfnGlobalTable.ReplicaSpecificationProperty => ({
      region,
      deletionProtectionEnabled: true,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
    });
    const indexes = table.indexes.map(({ name, hash, range, projected }) => ({
      indexName: name,
      keySchema: schema(hash, range),
      projection: projected.length === 0 ? { projectionType: 'KEYS_ONLY' } : { projectionType: 'INCLUDE', nonKeyAttributes: [...projected] },
    }));
    const made = new dynamodb.CfnGlobalTable(this, table.name.charAt(0).toUpperCase() + table.name.slice(1), {
      tableName: this.nameOf(table.name),
      billingMode: 'PAY_PER_REQUEST',
      keySchema: schema(pk, table.range),
      attributeDefinitions: [...keys].sort().map(([attributeName, attributeType]) => ({ attributeName, attributeType })),
      timeToLiveSpecification: table.expiring ? { attributeName: 'ttl', enabled: true } : undefined,
      globalSecondaryIndexes: indexes.length === 0 ? undefined : indexes,
      replicas: [replica(this.parameters.primaryRegion), replica(this.parameters.peerRegion)],
      ...(table.strong
        ? { multiRegionConsistency: 'STRONG', globalTableWitnesses: [{ region: this.parameters.witnessRegion }] }
        : // Replication with eventual consistency reads the stream.
          { streamSpecification: { streamViewType: 'NEW_AND_OLD_IMAGES' } }),
    });
    made.cfnOptions.condition = this.parameters.isPrimary;
    made.applyRemovalPolicy(RemovalPolicy.RETAIN);
  }
}
