#include <cstdio>
#include <vector>
#include <string>
#include <chrono>
#include <cstring>
#include "comixup/labeller.hpp"
using namespace comix;
int main(int argc,char**argv){
  const int reps=argc>2?atoi(argv[2]):1; const char*m=argc>3?argv[3]:"auto";
  FILE*f=fopen(argv[1],"rb"); std::int64_t h[5]; fread(h,8,5,f);
  auto P=h[0],n=h[1],mo=h[2],g=h[3];
  std::vector<double> cost(P*n*g*g),A(P*n*n); std::vector<std::int64_t> init(P*mo*g*g), lab(P*mo*g*g*2);
  fread(cost.data(),8,cost.size(),f);fread(A.data(),8,A.size(),f);fread(init.data(),8,init.size(),f);
  comixup::Settings s; s.beta=.32;s.gamma=1;s.tau=.83;s.sweeps=4;s.threshold=comixup::Threshold::hard;s.resolve_duplicates=true;s.select=comixup::Select::best;
  s.method=!strcmp(m,"exact")?gridcut::Method::exact:gridcut::Method::automatic;
  comixup::Labeller L; double sum=0; double best=1e9;
  for(int r=0;r<reps;++r){ auto t=std::chrono::steady_clock::now(); sum=0;
   for(int p=0;p<P;++p){ comixup::Partition q; q.inputs=n;q.outputs=mo;q.height=q.width=g;q.cost=cost.data()+p*n*g*g;q.compatibility=A.data()+p*n*n;
     L.solve(q,s,init.data()+p*mo*g*g,lab.data()+p*mo*g*g*2); sum+=comixup::objective(q,s,lab.data()+p*mo*g*g*2);}
   best=std::min(best,std::chrono::duration<double>(std::chrono::steady_clock::now()-t).count()); }
  unsigned long long hsh=1469598103934665603ull; for(auto v:lab){hsh^=(unsigned long long)v;hsh*=1099511628211ull;}
  printf("%s objective %.6f  best %.3f ms hash %016llx\n",argv[1],sum/P,best*1e3,hsh);
}
