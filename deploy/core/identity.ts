import { Aws, Duration, Stack, Validations } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';

import type { Platform } from './functions';
import * as grants from './grants';
import { Program } from './program';

/** Where the files of all tenants arrive: `Tenant::ingest_prefix` of `control/domain/src/tenant.rs`. */
const TENANTS = 'tenants/*';

/** Servers of Transfer Family in this account and region. The stack `edge` has the server, and is made after this one. */
const SERVERS = `arn:${Aws.PARTITION}:transfer:${Aws.REGION}:${Aws.ACCOUNT_ID}:server/*`;

/**
 * Who may log in to the SFTP server, and with which rights: the function that Transfer Family asks, and the role that it
 * names. Both are here and not beside the server, because the role is of the bucket, and the function has to know it.
 */
export class Identity extends Construct {
  readonly function: lambda.Function;
  readonly role: iam.Role;

  constructor(scope: Construct, id: string, { parameters, keys, buckets, tables }: Pick<Platform, 'parameters' | 'keys' | 'buckets' | 'tables'>) {
    super(scope, id);
    const stack = Stack.of(this);
    this.role = new iam.Role(this, 'SftpRole', {
      assumedBy: grants.servedBy(stack, 'transfer.amazonaws.com'),
      description: 'EFT: files that arrive over SFTP',
    });
    // Every session is held to its user's own folder by the policy in the function's answer.
    const policy = new iam.Policy(this, 'SftpPolicy', {
      roles: [this.role],
      statements: [
        grants.onBucket(buckets.ingest, 'ListBucket'),
        // To rename is to read, write and delete. No version is ever deleted, and no right on an object is given away.
        new iam.PolicyStatement({
          actions: ['s3:GetObject', 's3:PutObject', 's3:DeleteObject'],
          resources: [buckets.ingest.arnForObjects(TENANTS)],
        }),
        grants.use(keys.files, true),
      ],
    });
    Validations.of(policy).acknowledge({
      id: `AwsSolutions-IAM5[Resource::<${stack.getLogicalId(buckets.ingest.node.defaultChild as s3.CfnBucket)}.Arn>/${TENANTS}]`,
      reason: 'files have the names that their senders give them, and every session is held to the folder of its user',
    });

    this.function = new Program(this, 'Identity', parameters, {
      code: 'identity',
      description: 'EFT: who may log in to the SFTP server',
      // Somebody waits at the other end. A password takes a tenth of a second of a third of a processor.
      timeout: Duration.seconds(10),
      memory: 512,
      // Whoever guesses passwords takes no more of Lambda from the router, and has no more guesses at once.
      atOnce: 50,
      environment: {
        EFT_TABLE_CONFIG: tables.nameOf('config'),
        EFT_TABLE_KEYS: tables.nameOf('keys'),
        EFT_INGEST_BUCKET: buckets.ingest.bucketName,
        EFT_SFTP_ROLE: this.role.roleArn,
      },
      statements: [grants.onItems(tables, 'config', 'GetItem'), grants.onItems(tables, 'keys', 'GetItem', 'PutItem')],
      objectsOf: [],
    }).function;
    this.function.addPermission('Transfer', {
      principal: new iam.ServicePrincipal('transfer.amazonaws.com'),
      sourceAccount: stack.account,
      sourceArn: SERVERS,
    });
  }
}
