import { Aws, CfnCondition, CfnParameter, Fn, type IResolvable, type Stack } from 'aws-cdk-lib';

/** What differs between deployments of the edge. */
export class Parameters {
  /** The function that says who may log in: an output of the stack `core`. */
  readonly identityFunction: string;
  readonly endpointType: string;
  /** Where the endpoint is, or nothing where it is public. */
  readonly endpointDetails: IResolvable;

  constructor(stack: Stack) {
    const list = (name: string, description: string): string[] => new CfnParameter(stack, name, { type: 'CommaDelimitedList', description, default: '' }).valueAsList;
    this.identityFunction = new CfnParameter(stack, 'IdentityFunction', {
      type: 'String',
      description: 'The output IdentityFunctionArn of the stack core of this region.',
      allowedPattern: 'arn:[a-z-]+:lambda:.+',
      // Transfer Family's own limit.
      maxLength: 170,
    }).valueAsString;
    this.endpointType = new CfnParameter(stack, 'EndpointType', {
      type: 'String',
      description: 'VPC: fixed addresses, which partners let through their firewalls, and security groups. PUBLIC: needs no VPC, and has neither.',
      allowedValues: ['VPC', 'PUBLIC'],
      default: 'VPC',
    }).valueAsString;
    const vpc = new CfnParameter(stack, 'VpcId', { type: 'String', description: 'The VPC of the endpoint.', allowedPattern: '|vpc-[0-9a-f]+', default: '' }).valueAsString;
    const subnets = list('SubnetIds', 'Its public subnets, one a zone, two at least.');
    const addresses = list('AddressAllocationIds', 'Elastic IP addresses, one a subnet: the ones that partners know.');
    const groups = list('SecurityGroupIds', 'Security groups: who may reach port 22. Whoever they keep out tries no password.');
    const isInVpc = new CfnCondition(stack, 'IsInVpc', { expression: Fn.conditionEquals(this.endpointType, 'VPC') });
    this.endpointDetails = Fn.conditionIf(
      isInVpc.logicalId,
      { VpcId: vpc, SubnetIds: subnets, AddressAllocationIds: addresses, SecurityGroupIds: groups },
      Aws.NO_VALUE,
    );
  }
}
