// What a Relay client writes against the schema; compiled, never run. A page that grows in both directions, and a
// fragment that is fetched anew by its node.
import { graphql } from "relay-runtime";

export const members = graphql`
  fragment lists_members on SavedSearch
  @argumentDefinitions(
    first: { type: "Int", defaultValue: 20 }
    after: { type: "String" }
    last: { type: "Int" }
    before: { type: "String" }
  )
  @refetchable(queryName: "listsMembersPageQuery") {
    members(first: $first, after: $after, last: $last, before: $before) @connection(key: "lists_members_members") {
      asOf
      edges {
        node {
          id
          joinedAt
          email {
            ...lists_email
          }
        }
      }
    }
  }
`;

export const email = graphql`
  fragment lists_email on Email @refetchable(queryName: "listsEmailRefetchQuery") {
    subject
    folder
    engagementSummary {
      views
      clicks
      replies
    }
  }
`;

export const page = graphql`
  query listsPageQuery($id: ID!) {
    viewer {
      name
    }
    savedSearch(id: $id) {
      name
      ...lists_members
    }
  }
`;

export const archive = graphql`
  mutation listsArchiveMutation($ids: [ID!]!) {
    emailArchive(ids: $ids) {
      emails {
        id
        folder
      }
      userErrors {
        message
        path
        code
      }
    }
  }
`;

export const follow = graphql`
  subscription listsFollowSubscription($after: ChangeCursor) {
    allSavedSearchChanges(after: $after) {
      __typename
      ... on Change {
        cursor
      }
      ... on MemberJoined {
        savedSearchId
        member {
          email {
            ...lists_email
          }
        }
      }
      ... on MemberLeft {
        savedSearchId
        memberId
      }
    }
  }
`;
