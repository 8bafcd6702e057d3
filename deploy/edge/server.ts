import { Aws, RemovalPolicy, Validations } from 'aws-cdk-lib';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as transfer from 'aws-cdk-lib/aws-transfer';
import { Construct } from 'constructs';

import type { Parameters } from './parameters';

/** The latest (2026-11), with key exchange that a quantum computer does not break. CloudFormation's default is of 2018. */
const SECURITY_POLICY = 'TransferSecurityPolicy-2025-03';

/** The SFTP server. */
export class Server extends Construct {
  readonly id: string;
  readonly endpoint: string;

  constructor(scope: Construct, id: string, parameters: Parameters) {
    super(scope, id);
    const log = new logs.LogGroup(this, 'Log', { retention: logs.RetentionDays.THREE_MONTHS, removalPolicy: RemovalPolicy.RETAIN });
    const server = new transfer.CfnServer(this, 'Server', {
      domain: 'S3',
      // FTP sends passwords in the clear; the function lets nobody in by any other protocol either.
      protocols: ['SFTP'],
      identityProviderType: 'AWS_LAMBDA',
      identityProviderDetails: { function: parameters.identityFunction, sftpAuthenticationMethods: 'PUBLIC_KEY_OR_PASSWORD' },
      endpointType: parameters.endpointType,
      endpointDetails: parameters.endpointDetails,
      securityPolicyName: SECURITY_POLICY,
      // JSON, a line an act: who, from where, which file, how many bytes. It takes no role of ours.
      structuredLogDestinations: [log.logGroupArn],
      // Clients set times and modes after an upload, which S3 has not: without this the upload fails.
      protocolDetails: { setStatOption: 'ENABLE_NO_OP' },
    });
    for (const rule of ['E1150', 'F3031', 'F3033']) {
      Validations.of(server).acknowledge({
        id: `CloudFormation-Validate::${rule}`,
        reason: 'where the lists of the endpoint are empty it is public, and a condition leaves them out',
      });
    }
    // Another server has another host key, and addresses that no partner knows.
    server.applyRemovalPolicy(RemovalPolicy.RETAIN);
    this.id = server.attrServerId;
    this.endpoint = `${this.id}.server.transfer.${Aws.REGION}.${Aws.URL_SUFFIX}`;
  }
}
